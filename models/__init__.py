"""Example models: real architectures with seeded random weights, exported for tests and benchmarks."""
