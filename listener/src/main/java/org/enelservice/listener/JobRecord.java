package org.enelservice.listener;

import java.util.OptionalInt;
import java.util.SortedMap;

/**
 * One ended job. Times are epoch milliseconds.
 *
 * @param predictedScaleOut recommended scale-out that was in force when the job started, if any
 * @param stages every stage of the job by its id; {@code null} for one that was skipped
 */
record JobRecord(
        int jobId,
        long startTime,
        long endTime,
        boolean succeeded,
        ScaleOutSpan scaleOuts,
        OptionalInt predictedScaleOut,
        SortedMap<Integer, StageRecord> stages) {
}
