package org.enelservice.listener;

import java.util.List;
import org.apache.spark.ExecutorAllocationClient;
import org.apache.spark.SparkContext;
import scala.collection.immutable.HashMap;
import scala.jdk.javaapi.CollectionConverters;

/** The two calls that change the scale-out of a running application. Both wait for the cluster manager. */
final class ExecutorAllocation {

    private final SparkContext context;

    ExecutorAllocation(SparkContext context) {
        this.context = context;
    }

    /**
     * Tells the cluster manager how many executors there shall be. A lower number only keeps it from starting
     * or replacing executors; the running ones stay.
     *
     * @return whether the cluster manager took note
     */
    boolean request(int scaleOut) {
        return context.requestTotalExecutors(scaleOut, 0, new HashMap<>());
    }

    /**
     * Takes executors away. {@code SparkContext.killExecutors} would refuse under dynamic allocation, hence the
     * detour through the scheduler backend.
     *
     * @param busyToo whether executors go that run tasks, which Spark then runs again elsewhere without counting
     *     them as failed; without it Spark leaves those alone
     * @return the executors that will go
     */
    List<String> kill(List<String> executorIds, boolean busyToo) {
        if (context.schedulerBackend() instanceof ExecutorAllocationClient client) {
            // The target was lowered before, so it is not to be adjusted once more.
            return CollectionConverters.asJava(client.killExecutors(
                    CollectionConverters.asScala(executorIds).toSeq(), false, false, busyToo));
        }
        return List.of();
    }
}
