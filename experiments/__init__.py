"""Scripts on real data, benchmarks and notebooks; imported by nothing."""
