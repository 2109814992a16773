"""Kernels that several Gaussian processes share.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 4.2.1.
"""

import numpy as np

from training.statistics.arrays import Floats


def matern(distance: Floats) -> Floats:
    """Matern kernel of smoothness 3/2 at distances in units of its width; 1 at 0, of the same shape.

    Source: Rasmussen and Williams, 2006, equation 4.17.
    """
    scaled = np.sqrt(3.0) * distance
    return np.asarray((1.0 + scaled) * np.exp(-scaled))
