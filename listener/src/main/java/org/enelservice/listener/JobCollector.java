package org.enelservice.listener;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.spark.scheduler.StageInfo;

/**
 * Turns Spark's events into one record per job. Belongs to the listener bus, only {@link #lastStartedJobId},
 * {@link #seenJobs} and {@link #runningJobs} may be read from elsewhere.
 *
 * <p>Jobs may overlap and share stages. A stage is reported with the first running job that listed it, the job
 * in which it ran; every other job that lists it skipped it. Its attempts are reported as one. The end of the job
 * is what closes it: what arrives later is not waited for.
 */
final class JobCollector {

    private static final class OpenJob {
        final int jobId;
        final long startTime;
        final OptionalInt predictedScaleOut;
        final Set<Integer> stageIds = new TreeSet<>();
        final Map<Integer, Attempt> attempts = new HashMap<>();
        /** Attempts before the latest one that have ended, by their numbers. */
        final Map<Integer, SortedMap<Integer, StageRecord>> earlier = new HashMap<>();

        OpenJob(int jobId, long startTime, OptionalInt predictedScaleOut) {
            this.jobId = jobId;
            this.startTime = startTime;
            this.predictedScaleOut = predictedScaleOut;
        }
    }

    /** Latest attempt of a stage; {@code completed} is {@code null} while it runs. */
    private record Attempt(StageInfo info, StageRecord completed) {
        int number() {
            return info.attemptNumber();
        }
    }

    private final ExecutorTimeline executors = new ExecutorTimeline();
    private final CachedBlocks cachedBlocks = new CachedBlocks();
    private final Map<Integer, OpenJob> openJobs = new LinkedHashMap<>();
    private volatile int lastStartedJobId = -1;
    private volatile int seenJobs;
    private volatile int runningJobs;

    ExecutorTimeline executors() {
        return executors;
    }

    CachedBlocks cachedBlocks() {
        return cachedBlocks;
    }

    /** The highest job id that has started, -1 before the first one. */
    int lastStartedJobId() {
        return lastStartedJobId;
    }

    /** How many jobs there were, those included of which only the start or the end was seen. */
    int seenJobs() {
        return seenJobs;
    }

    /** How many jobs have started whose ends were not seen: they run, or Spark's bus has dropped their ends. */
    int runningJobs() {
        return runningJobs;
    }

    void jobStarted(int jobId, long time, List<StageInfo> stages, OptionalInt predictedScaleOut) {
        OpenJob job = new OpenJob(jobId, time, predictedScaleOut);
        stages.forEach(stage -> job.stageIds.add(stage.stageId()));
        openJobs.put(jobId, job);
        runningJobs = openJobs.size();
        seenJobs++;
        lastStartedJobId = Math.max(lastStartedJobId, jobId);
    }

    void stageSubmitted(StageInfo info) {
        // Without a submission time Spark had no task to run for it: the stage is as good as skipped.
        if (info.submissionTime().isDefined()) {
            record(new Attempt(info, null));
        }
    }

    void stageCompleted(StageInfo info) {
        if (info.submissionTime().isEmpty() || info.completionTime().isEmpty()) {
            return;
        }
        long start = (Long) info.submissionTime().get();
        long end = Math.max(start, (Long) info.completionTime().get());
        String failureReason = info.failureReason().isDefined() ? info.failureReason().get() : "";
        record(new Attempt(info, StageRecord.of(info, start, end, failureReason, executors, cachedBlocks)));
    }

    private void record(Attempt attempt) {
        int stageId = attempt.info().stageId();
        OpenJob owner = ownerOf(stageId);
        if (owner == null) {
            return;
        }
        Attempt known = owner.attempts.get(stageId);
        // The last tasks of a failed attempt may let it end after its successor has begun.
        boolean isLatest = known == null || known.number() <= attempt.number();
        if (isLatest) {
            owner.attempts.put(stageId, attempt);
        }
        Attempt before = isLatest ? known : attempt;
        if (before != null && before.completed() != null && before.number() < owner.attempts.get(stageId).number()) {
            owner.earlier.computeIfAbsent(stageId, id -> new TreeMap<>()).put(before.number(), before.completed());
        }
    }

    private OpenJob ownerOf(int stageId) {
        OpenJob firstLister = null;
        for (OpenJob job : openJobs.values()) {
            if (job.attempts.containsKey(stageId)) {
                return job;
            }
            if (firstLister == null && job.stageIds.contains(stageId)) {
                firstLister = job;
            }
        }
        return firstLister;
    }

    /** Closes a job; empty when its start was never seen. */
    Optional<JobRecord> jobEnded(int jobId, long time, boolean succeeded) {
        OpenJob job = openJobs.remove(jobId);
        runningJobs = openJobs.size();
        if (job == null) {
            seenJobs++;
            return Optional.empty();
        }
        long end = Math.max(time, job.startTime);
        TreeMap<Integer, StageRecord> stages = new TreeMap<>();
        for (int stageId : job.stageIds) {
            stages.put(stageId, closed(job, job.attempts.get(stageId), end));
        }
        return Optional.of(new JobRecord(
                jobId, job.startTime, end, succeeded, executors.between(job.startTime, end), job.predictedScaleOut,
                stages));
    }

    private StageRecord closed(OpenJob job, Attempt attempt, long jobEnd) {
        if (attempt == null) {
            return null;
        }
        SortedMap<Integer, StageRecord> earlier = job.earlier.get(attempt.info().stageId());
        if (attempt.completed() != null) {
            return whole(earlier, attempt.completed());
        }
        // A stage outlives its job when the job fails while another one needs the stage: that one reports it.
        OpenJob heir = ownerOf(attempt.info().stageId());
        if (heir != null) {
            heir.attempts.put(attempt.info().stageId(), attempt);
            if (earlier != null) {
                heir.earlier.put(attempt.info().stageId(), earlier);
            }
            return null;
        }
        long start = (Long) attempt.info().submissionTime().get();
        return whole(earlier, StageRecord.of(attempt.info(), start, Math.max(start, jobEnd),
                "The job ended before the stage did", executors, cachedBlocks));
    }

    private StageRecord whole(SortedMap<Integer, StageRecord> earlier, StageRecord latest) {
        if (earlier == null) {
            return latest;
        }
        StageRecord before = earlier.values().stream().reduce((one, next) -> next.after(one, executors)).orElseThrow();
        return latest.after(before, executors);
    }
}
