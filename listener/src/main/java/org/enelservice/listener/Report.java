package org.enelservice.listener;

import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * One event on its way to the service.
 *
 * @param jobId job that ended, -1 for the start of the application
 * @param event wire form without {@code predict}, which is only decided when the event is sent
 */
record Report(int jobId, ObjectNode event) {

    static Report applicationStart(ObjectNode event) {
        return new Report(-1, event);
    }

    static Report jobEnd(int jobId, ObjectNode event) {
        return new Report(jobId, event);
    }

    boolean endsJob() {
        return jobId >= 0;
    }

    @Override
    public String toString() {
        return endsJob() ? "JOB_END of job " + jobId : "APPLICATION_START";
    }
}
