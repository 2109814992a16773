"""What several models need of statistics: array types, kernels, how far off left-out forecasts were."""
