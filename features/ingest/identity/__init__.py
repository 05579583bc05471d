"""Who is meant: codes and numbers read and resolved, and what persons decide where that fails."""
