package org.enelservice.listener;

import java.util.List;
import org.apache.spark.scheduler.StageInfo;
import org.apache.spark.storage.RDDInfo;
import scala.jdk.javaapi.CollectionConverters;

/**
 * One attempt of one stage, as it is reported. Times are epoch milliseconds; the figures about RDDs are sums over
 * all RDDs of the stage, as they were when the stage ended.
 */
record StageRecord(
        int stageId,
        String name,
        int attemptId,
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
        for (RDDInfo rdd : CollectionConverters.asJava(info.rddInfos())) {
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
                info.numTasks(),
                CollectionConverters.asJava(info.parentIds()).stream().map(id -> (Integer) id).toList(),
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
}
