"""A simulated Nanchong that writes what twelve source systems would deliver."""
