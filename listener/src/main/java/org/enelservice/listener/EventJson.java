package org.enelservice.listener;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.function.Supplier;

/** The wire form of events; field names and units are those of the service's contract. */
final class EventJson {

    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
    /** Of a text: four times what the service keeps of the longest ones. */
    private static final int MOST_CHARACTERS = 16 * 1024;

    private final ListenerSettings settings;
    private final Supplier<String> applicationId;

    /**
     * @param applicationId asked at every event, because Spark knows it only after plugins are initialised
     */
    EventJson(ListenerSettings settings, Supplier<String> applicationId) {
        this.settings = settings;
        this.applicationId = applicationId;
    }

    ObjectNode applicationStart(String applicationName, String attemptId, long startTime) {
        ObjectNode updates = NODES.objectNode();
        updates.put("application_id", applicationId.get());
        updates.put("application_signature", applicationName);
        updates.set("attempt_id", attemptId.matches("\\d{1,9}")
                ? NODES.numberNode(Integer.parseInt(attemptId))
                : attemptId.isEmpty() ? NODES.numberNode(0) : NODES.textNode(attemptId));
        updates.put("start_time", startTime);
        // An unknown scale-out is left out, because 0 would be refused and anything else a guess.
        if (settings.initialExecutors() > 0) {
            updates.put("start_scale_out", settings.initialExecutors());
        }
        ObjectNode event = event(Report.APPLICATION_START, updates);
        event.putNull("job_id");
        return event;
    }

    ObjectNode jobEnd(JobRecord job) {
        ObjectNode updates = NODES.objectNode();
        updates.put("job_id", job.jobId());
        updates.put("job_result", job.succeeded() ? "JobSucceeded" : "JobFailed");
        putSpan(updates, job.startTime(), job.endTime(), job.scaleOuts());
        job.predictedScaleOut().ifPresent(scaleOut -> updates.put("predicted_scale_out", scaleOut));
        ObjectNode stages = updates.putObject("stages");
        job.stages().forEach((stageId, stage) ->
                stages.set(Integer.toString(stageId), stage == null ? NODES.nullNode() : stage(stage)));
        ObjectNode event = event(Report.JOB_END, updates);
        event.put("job_id", job.jobId());
        return event;
    }

    /**
     * @param endedJobs how many jobs there were, those included whose ends were not seen or not reported
     */
    ObjectNode applicationEnd(long endTime, int endedJobs) {
        ObjectNode updates = NODES.objectNode();
        updates.put("application_id", applicationId.get());
        updates.put("end_time", endTime);
        updates.put("ended_jobs", endedJobs);
        ObjectNode event = event(Report.APPLICATION_END, updates);
        event.putNull("job_id");
        return event;
    }

    /** Adds to an event what became of earlier ones, where some were lost. */
    static void putLost(ObjectNode event, long refused, long dropped) {
        ObjectNode updates = (ObjectNode) event.get("updates");
        if (refused > 0) {
            updates.put("refused_reports", refused);
        }
        if (dropped > 0) {
            updates.put("dropped_reports", dropped);
        }
    }

    private ObjectNode event(String name, ObjectNode updates) {
        ObjectNode event = NODES.objectNode();
        event.put("application_execution_id", settings.applicationExecutionId());
        event.put("application_id", applicationId.get());
        event.put("update_event", name);
        event.set("updates", updates);
        return event;
    }

    private static ObjectNode stage(StageRecord stage) {
        ObjectNode node = NODES.objectNode();
        node.put("stage_id", Integer.toString(stage.stageId()));
        node.put("stage_name", text(stage.name()));
        node.put("attempt_id", stage.attemptId());
        node.put("num_attempts", stage.numAttempts());
        node.put("num_tasks", stage.numTasks());
        ArrayNode parents = node.putArray("parent_stage_ids");
        stage.parentStageIds().forEach(parent -> parents.add(Integer.toString(parent)));
        node.put("failure_reason", text(stage.failureReason()));
        putSpan(node, stage.startTime(), stage.endTime(), stage.scaleOuts());
        node.put("rdd_num_partitions", stage.rddNumPartitions());
        node.put("rdd_num_cached_partitions", stage.rddNumCachedPartitions());
        node.put("rdd_mem_size", stage.rddMemSize());
        node.put("rdd_disk_size", stage.rddDiskSize());
        ObjectNode metrics = node.putObject("metrics");
        metrics.put("cpu_utilization", stage.metrics().cpuUtilization());
        metrics.put("gc_time_ratio", stage.metrics().gcTimeRatio());
        metrics.put("shuffle_rw_ratio", stage.metrics().shuffleRwRatio());
        metrics.put("data_io_ratio", stage.metrics().dataIoRatio());
        metrics.put("memory_spill_ratio", stage.metrics().memorySpillRatio());
        return node;
    }

    /**
     * Cuts a text that is longer than anybody reads, as messages of errors with a program's data in them may be: the
     * service would refuse a report of many megabytes, and those that wait are in the driver's memory.
     */
    private static String text(String text) {
        return text == null || text.length() <= MOST_CHARACTERS ? text : text.substring(0, MOST_CHARACTERS);
    }

    private static void putSpan(ObjectNode node, long startTime, long endTime, ScaleOutSpan scaleOuts) {
        node.put("start_time", startTime);
        node.put("end_time", endTime);
        node.put("start_scale_out", scaleOuts.start());
        node.put("end_scale_out", scaleOuts.end());
        node.put("rescaling_time_ratio", scaleOuts.rescalingTimeRatio());
    }
}
