package org.enelservice.listener;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.spark.scheduler.JobSucceeded$;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerApplicationEnd;
import org.apache.spark.scheduler.SparkListenerApplicationStart;
import org.apache.spark.scheduler.SparkListenerBlockManagerRemoved;
import org.apache.spark.scheduler.SparkListenerBlockUpdated;
import org.apache.spark.scheduler.SparkListenerExecutorAdded;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.SparkListenerTaskStart;
import org.apache.spark.scheduler.SparkListenerUnpersistRDD;

/**
 * Hands Spark's events to those who keep books. Every callback runs on Spark's listener bus, which drops
 * events when it falls behind, so none of them waits, and none of them throws.
 */
final class EnelListener extends SparkListener {

    /** How long the application's end waits for those of jobs that it cuts off: they are on their way. */
    private static final long LAST_JOBS_NANOS = TimeUnit.SECONDS.toNanos(2);

    private final JobCollector jobs;
    private final ExecutorRoster roster;
    private final Rescaler rescaler;
    private final Reporter reporter;
    private final EventJson json;
    private final RosterAudit audit;
    private final ExecutionLog log;
    private final CountDownLatch applicationEnded = new CountDownLatch(1);
    private final CountDownLatch endReported = new CountDownLatch(1);
    /** Epoch milliseconds, -1 before. */
    private volatile long endTime = -1;

    EnelListener(JobCollector jobs, ExecutorRoster roster, Rescaler rescaler, Reporter reporter, EventJson json,
            RosterAudit audit, ExecutionLog log) {
        this.jobs = jobs;
        this.roster = roster;
        this.rescaler = rescaler;
        this.reporter = reporter;
        this.json = json;
        this.audit = audit;
        this.log = log;
    }

    @Override
    public void onApplicationStart(SparkListenerApplicationStart event) {
        log.guard("noting the application's start", () -> {
            String attempt = event.appAttemptId().isDefined() ? event.appAttemptId().get() : "";
            reporter.submit(Report.applicationStart(json.applicationStart(event.appName(), attempt, event.time())));
        });
    }

    @Override
    public void onApplicationEnd(SparkListenerApplicationEnd event) {
        log.guard("noting the application's end", () -> {
            endTime = event.time();
            reporter.stopPredictions();
            rescaler.stop();
        });
        reportEndIfNoJobRuns();
        applicationEnded.countDown();
    }

    @Override
    public void onExecutorAdded(SparkListenerExecutorAdded event) {
        log.guard("noting an added executor", () -> {
            if (roster.add(event.executorId())) {
                jobs.executors().added(event.time());
                rescaler.executorsChanged();
            }
        });
    }

    @Override
    public void onExecutorRemoved(SparkListenerExecutorRemoved event) {
        log.guard("noting a removed executor", () -> {
            if (roster.remove(event.executorId())) {
                jobs.executors().removed(event.time());
                rescaler.executorsChanged();
            }
        });
    }

    @Override
    public void onJobStart(SparkListenerJobStart event) {
        log.guard("noting a job's start", () -> jobs.jobStarted(
                event.jobId(), event.time(), SparkCalls.stageInfos(event), rescaler.scaleOutInForce()));
    }

    @Override
    public void onStageSubmitted(SparkListenerStageSubmitted event) {
        log.guard("noting a stage's start", () -> jobs.stageSubmitted(event.stageInfo()));
    }

    @Override
    public void onStageCompleted(SparkListenerStageCompleted event) {
        log.guard("noting a stage's end", () -> jobs.stageCompleted(event.stageInfo()));
    }

    @Override
    public void onJobEnd(SparkListenerJobEnd event) {
        log.guard("comparing executors", () -> {
            if (audit.check(event.time())) {
                rescaler.executorsChanged();
            }
        });
        log.guard("noting a job's end", () -> {
            boolean succeeded = event.jobResult() == JobSucceeded$.MODULE$;
            Optional<JobRecord> ended = jobs.jobEnded(event.jobId(), event.time(), succeeded);
            ended.ifPresent(job -> reporter.submit(Report.jobEnd(job.jobId(), json.jobEnd(job))));
            rescaler.executorsChanged();
        });
        reportEndIfNoJobRuns();
    }

    @Override
    public void onBlockUpdated(SparkListenerBlockUpdated event) {
        log.guard("noting a block", () -> jobs.cachedBlocks().updated(event.blockUpdatedInfo()));
    }

    @Override
    public void onBlockManagerRemoved(SparkListenerBlockManagerRemoved event) {
        log.guard("noting lost blocks", () -> jobs.cachedBlocks().lost(event.blockManagerId().executorId()));
    }

    @Override
    public void onUnpersistRDD(SparkListenerUnpersistRDD event) {
        log.guard("noting unpersisted blocks", () -> jobs.cachedBlocks().unpersisted(event.rddId()));
    }

    @Override
    public void onTaskStart(SparkListenerTaskStart event) {
        log.guard("noting a task's start", () -> roster.taskStarted(event.taskInfo().executorId()));
    }

    @Override
    public void onTaskEnd(SparkListenerTaskEnd event) {
        log.guard("noting a task's end", () -> {
            boolean idle = event.taskInfo() != null && roster.taskEnded(event.taskInfo().executorId());
            if (idle) {
                rescaler.executorBecameIdle();
            }
        });
    }

    /**
     * Reports the application's end, unless that is done, or was never seen. With it goes how many jobs there were:
     * those that seem to run yet are jobs whose ends will not be reported.
     */
    synchronized void reportEnd() {
        if (endTime >= 0 && endReported.getCount() > 0) {
            log.guard("reporting the application's end", () ->
                    reporter.submit(Report.applicationEnd(json.applicationEnd(endTime, jobs.seenJobs()))));
            endReported.countDown();
        }
    }

    private void reportEndIfNoJobRuns() {
        if (jobs.runningJobs() == 0) {
            reportEnd();
        }
    }

    /**
     * Waits until every event of the application has been seen. The ends of jobs that its end cuts off come after
     * that, and others, which the bus has dropped, never.
     */
    void awaitApplicationEnd(Duration timeout) throws InterruptedException {
        long deadline = System.nanoTime() + timeout.toNanos();
        if (!applicationEnded.await(timeout.toNanos(), TimeUnit.NANOSECONDS)) {
            log.warn("the listener bus did not deliver the application's end within {}", timeout);
            return;
        }
        long left = Math.min(deadline - System.nanoTime(), LAST_JOBS_NANOS);
        if (!endReported.await(left, TimeUnit.NANOSECONDS)) {
            log.warn("the listener bus did not deliver the ends of {} jobs", jobs.runningJobs());
        }
    }
}
