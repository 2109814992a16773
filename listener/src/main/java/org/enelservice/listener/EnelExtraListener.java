package org.enelservice.listener;

import java.util.Arrays;
import java.util.function.Consumer;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkFirehoseListener;
import org.apache.spark.scheduler.SparkListenerEvent;

/**
 * Entry point that {@code spark.extraListeners} names, for drivers in which the plugin is not loaded: a program that
 * asks for Spark Connect in itself replaces {@code spark.plugins}. Beside the plugin it does nothing.
 */
public final class EnelExtraListener extends SparkFirehoseListener {

    private final Consumer<SparkListenerEvent> events;

    /** Spark calls it in the driver, before the first event. */
    @SuppressWarnings("unchecked") // what ListenerEvents implements, which is compiled after this
    public EnelExtraListener(SparkConf conf) {
        boolean hasPlugin = Arrays.stream(conf.get("spark.plugins", "").split(","))
                .anyMatch(name -> name.trim().equals("org.enelservice.listener.EnelPlugin"));
        events = hasPlugin
                ? null
                : (Consumer<SparkListenerEvent>) EntryPoint.create("ListenerEvents", SparkConf.class, conf);
    }

    @Override
    public void onEvent(SparkListenerEvent event) {
        if (events != null) {
            events.accept(event);
        }
    }
}
