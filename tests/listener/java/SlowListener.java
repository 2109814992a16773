package org.enelservice.listener;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobEnd;

/**
 * A listener as applications bring them: at the first job's end it waits for a file, and tells whether it came.
 *
 * It tells in a file of its own: what it would print, and what the application's Python prints, may share a line.
 */
public final class SlowListener extends SparkListener {

    private static final int MOST_WAITS = 400;

    @Override
    public void onJobEnd(SparkListenerJobEnd event) {
        if (event.jobId() > 0) {
            return;
        }
        Path file = Path.of(System.getenv("SLOW_LISTENER_WAITS_FOR"));
        for (int waits = 0; waits < MOST_WAITS && !Files.exists(file); waits++) {
            try {
                Thread.sleep(50);
            } catch (InterruptedException stopped) {
                break;
            }
        }
        String said = Files.exists(file) ? "the last job was reported" : "the last job was not reported";
        try {
            Files.writeString(Path.of(System.getenv("SLOW_LISTENER_TELLS")), said);
        } catch (IOException full) {
            throw new UncheckedIOException(full);
        }
    }
}
