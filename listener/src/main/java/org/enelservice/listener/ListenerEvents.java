package org.enelservice.listener;

import java.util.Optional;
import java.util.function.Consumer;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkContext$;
import org.apache.spark.scheduler.SparkListenerApplicationEnd;
import org.apache.spark.scheduler.SparkListenerApplicationStart;
import org.apache.spark.scheduler.SparkListenerBlockManagerRemoved;
import org.apache.spark.scheduler.SparkListenerBlockUpdated;
import org.apache.spark.scheduler.SparkListenerEvent;
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
 * What the plugin does, driven by events alone. There is no context yet when Spark makes extra listeners, so the
 * first job does not wait for the first executors; and no other end than the last event, which may wait, therefore,
 * until what is unsent has left.
 */
final class ListenerEvents implements Consumer<SparkListenerEvent> {

    private final Optional<Wiring> wiring;
    private String applicationId = "";

    ListenerEvents(SparkConf conf) {
        String version = org.apache.spark.package$.MODULE$.SPARK_VERSION();
        wiring = Wiring.start(conf, version, () -> applicationId, ListenerEvents::context);
        wiring.ifPresent(started -> started.log().warn("spark.plugins is {}, without this plugin: reporting as an extra"
                + " listener", conf.get("spark.plugins", "empty")));
    }

    private static SparkContext context() {
        return SparkContext$.MODULE$.getActive().get();
    }

    @Override
    public void accept(SparkListenerEvent event) {
        wiring.ifPresent(started -> hand(event, started));
    }

    private void hand(SparkListenerEvent event, Wiring started) {
        EnelListener listener = started.listener();
        if (event instanceof SparkListenerTaskStart taskStart) {
            listener.onTaskStart(taskStart);
        } else if (event instanceof SparkListenerTaskEnd taskEnd) {
            listener.onTaskEnd(taskEnd);
        } else if (event instanceof SparkListenerBlockUpdated blockUpdated) {
            listener.onBlockUpdated(blockUpdated);
        } else if (event instanceof SparkListenerStageSubmitted stageSubmitted) {
            listener.onStageSubmitted(stageSubmitted);
        } else if (event instanceof SparkListenerStageCompleted stageCompleted) {
            listener.onStageCompleted(stageCompleted);
        } else if (event instanceof SparkListenerJobStart jobStart) {
            listener.onJobStart(jobStart);
        } else if (event instanceof SparkListenerJobEnd jobEnd) {
            listener.onJobEnd(jobEnd);
        } else if (event instanceof SparkListenerExecutorAdded executorAdded) {
            listener.onExecutorAdded(executorAdded);
        } else if (event instanceof SparkListenerExecutorRemoved executorRemoved) {
            listener.onExecutorRemoved(executorRemoved);
        } else if (event instanceof SparkListenerBlockManagerRemoved blockManagerRemoved) {
            listener.onBlockManagerRemoved(blockManagerRemoved);
        } else if (event instanceof SparkListenerUnpersistRDD unpersisted) {
            listener.onUnpersistRDD(unpersisted);
        } else if (event instanceof SparkListenerApplicationStart start) {
            applicationId = start.appId().isDefined() ? start.appId().get() : "";
            listener.onApplicationStart(start);
        } else if (event instanceof SparkListenerApplicationEnd end) {
            listener.onApplicationEnd(end);
            started.log().guard("stopping", () -> started.stop(false));
        }
    }
}
