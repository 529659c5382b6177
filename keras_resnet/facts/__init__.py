"""What is known without a framework: architectures, data sets, and the paper's numbers."""
