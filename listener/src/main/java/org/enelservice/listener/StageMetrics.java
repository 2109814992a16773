package org.enelservice.listener;

import org.apache.spark.executor.TaskMetrics;

/** Ratios over all tasks of a stage; they are never negative, not all are bounded by 1. */
record StageMetrics(
        double cpuUtilization,
        double gcTimeRatio,
        double shuffleRwRatio,
        double dataIoRatio,
        double memorySpillRatio) {

    private static final double NANOS_PER_MILLI = 1e6;

    /** Computes the ratios from metrics that Spark has already summed; no metrics count as all zero. */
    static StageMetrics of(TaskMetrics metrics) {
        if (metrics == null) {
            return new StageMetrics(0, 0, 0, 0, 0);
        }
        return new StageMetrics(
                ratio(metrics.executorCpuTime(), metrics.executorRunTime() * NANOS_PER_MILLI),
                ratio(metrics.jvmGCTime(), metrics.executorRunTime()),
                ratio(metrics.shuffleReadMetrics().totalBytesRead(), metrics.shuffleWriteMetrics().bytesWritten()),
                ratio(metrics.inputMetrics().bytesRead(), metrics.outputMetrics().bytesWritten()),
                ratio(metrics.diskBytesSpilled(), metrics.peakExecutionMemory()));
    }

    /** 0/x is 0 (0/0 too), x/0 is 1, as the contract has it; so there is no infinity to report. */
    static double ratio(double numerator, double denominator) {
        if (numerator <= 0) {
            return 0.0;
        }
        return denominator <= 0 ? 1.0 : numerator / denominator;
    }
}
