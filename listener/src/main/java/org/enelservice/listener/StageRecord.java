package org.enelservice.listener;

import java.util.List;
import org.apache.spark.scheduler.StageInfo;
import org.apache.spark.storage.RDDInfo;

/**
 * One stage, as it is reported: one attempt of it, or several as a whole. Times are epoch milliseconds; the figures
 * about RDDs are sums over all RDDs of the stage, as they were when the stage ended.
 *
 * @param attemptId of the latest attempt
 * @param numAttempts how many it stands for, the latest one included
 */
record StageRecord(
        int stageId,
        String name,
        int attemptId,
        int numAttempts,
        int numTasks,
        List<Integer> parentStageIds,
        String failureReason,
        long startTime,
        long endTime,
        ScaleOutSpan scaleOuts,
        long rddNumPartitions,
        long rddNumCachedPartitions,
        long rddMemSize,
        long rddDiskSize,
        StageMetrics metrics) {

    /**
     * Takes a snapshot; Spark goes on changing a {@code StageInfo} while its stage runs.
     *
     * @param startTime submission time, which the caller has checked to exist
     * @param endTime time at which the stage, or the job that it is reported with, ended
     */
    static StageRecord of(StageInfo info, long startTime, long endTime, String failureReason,
            ExecutorTimeline executors, CachedBlocks cachedBlocks) {
        long partitions = 0;
        long cachedPartitions = 0;
        long memSize = 0;
        long diskSize = 0;
        for (RDDInfo rdd : SparkCalls.rddInfos(info)) {
            partitions += rdd.numPartitions();
            CachedBlocks.Cached cached = cachedBlocks.of(rdd.id());
            cachedPartitions += cached.partitions();
            memSize += cached.memSize();
            diskSize += cached.diskSize();
        }
        return new StageRecord(
                info.stageId(),
                info.name(),
                info.attemptNumber(),
                1,
                info.numTasks(),
                SparkCalls.parentIds(info),
                failureReason,
                startTime,
                endTime,
                executors.between(startTime, endTime),
                partitions,
                cachedPartitions,
                memSize,
                diskSize,
                StageMetrics.of(info.taskMetrics()));
    }

    /**
     * The stage as a whole, from the first start to the last end. Later attempts only make up for what was lost, so
     * the number of tasks and the metrics are those of the attempt with most tasks, and a failure stays known.
     */
    StageRecord after(StageRecord earlier, ExecutorTimeline executors) {
        long start = Math.min(startTime, earlier.startTime);
        long end = Math.max(endTime, earlier.endTime);
        StageRecord largest = earlier.numTasks > numTasks ? earlier : this;
        return new StageRecord(
                stageId, name, attemptId, attemptId - earlier.attemptId + earlier.numAttempts, largest.numTasks,
                parentStageIds, failureReason.isEmpty() ? earlier.failureReason : failureReason, start, end,
                executors.between(start, end), rddNumPartitions, rddNumCachedPartitions, rddMemSize, rddDiskSize,
                largest.metrics);
    }
}
