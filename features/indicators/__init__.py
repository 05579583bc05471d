"""The smoke indicators: one function and one YAML file each."""
