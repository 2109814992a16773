package org.enelservice.listener;

/**
 * Scale-outs around an interval.
 *
 * @param rescalingTimeRatio share of the interval with neither the first nor the last scale-out, 0 to 1
 */
record ScaleOutSpan(int start, int end, double rescalingTimeRatio) {
}
