package org.enelservice.listener;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;

/**
 * One event on its way to the service. It waits as JSON, for nodes take several times as much of the driver's memory,
 * which is the application's.
 *
 * @param jobId job that ended, -1 for the start and the end of the application
 * @param name as the contract calls the event
 * @param json wire form without {@code predict}, which is only decided when the event is sent
 */
record Report(int jobId, String name, byte[] json) {

    static final String APPLICATION_START = "APPLICATION_START";
    static final String JOB_END = "JOB_END";
    static final String APPLICATION_END = "APPLICATION_END";

    private static final ObjectMapper MAPPER = new ObjectMapper();

    static Report applicationStart(ObjectNode event) {
        return new Report(-1, APPLICATION_START, bytes(event));
    }

    static Report jobEnd(int jobId, ObjectNode event) {
        return new Report(jobId, JOB_END, bytes(event));
    }

    static Report applicationEnd(ObjectNode event) {
        return new Report(-1, APPLICATION_END, bytes(event));
    }

    /** An event as it travels. */
    static byte[] bytes(ObjectNode event) {
        try {
            return MAPPER.writeValueAsBytes(event);
        } catch (JsonProcessingException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    /** The event; what is changed of it stays with the caller. */
    ObjectNode event() {
        try {
            return (ObjectNode) MAPPER.readTree(json);
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
    }

    /** Bytes that it takes while it waits. */
    int size() {
        return json.length;
    }

    boolean endsJob() {
        return jobId >= 0;
    }

    boolean endsApplication() {
        return name.equals(APPLICATION_END);
    }

    @Override
    public String toString() {
        return endsJob() ? name + " of job " + jobId : name;
    }
}
