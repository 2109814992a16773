package org.enelservice.listener;

import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * One event on its way to the service.
 *
 * @param jobId job that ended, -1 for the start and the end of the application
 * @param name as the contract calls the event
 * @param event wire form without {@code predict}, which is only decided when the event is sent
 */
record Report(int jobId, String name, ObjectNode event) {

    static final String APPLICATION_START = "APPLICATION_START";
    static final String JOB_END = "JOB_END";
    static final String APPLICATION_END = "APPLICATION_END";

    static Report applicationStart(ObjectNode event) {
        return new Report(-1, APPLICATION_START, event);
    }

    static Report jobEnd(int jobId, ObjectNode event) {
        return new Report(jobId, JOB_END, event);
    }

    static Report applicationEnd(ObjectNode event) {
        return new Report(-1, APPLICATION_END, event);
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
