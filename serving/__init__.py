"""What the supervision centre meets: scores and explanations over HTTP."""
