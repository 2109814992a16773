package org.enelservice.listener;

import java.util.List;
import java.util.function.Supplier;
import org.apache.spark.ExecutorAllocationClient;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;

/** The calls that change the scale-out of a running application. All wait for the cluster manager. */
final class ExecutorAllocation {

    private final Supplier<SparkContext> context;

    ExecutorAllocation(Supplier<SparkContext> context) {
        this.context = context;
    }

    /**
     * Tells the cluster manager how many executors there shall be. A lower number only keeps it from starting
     * or replacing executors; the running ones stay.
     *
     * @return whether the cluster manager took note
     */
    boolean request(int scaleOut) {
        return SparkCalls.requestTotalExecutors(context.get(), scaleOut);
    }

    /**
     * Whether executors hand over what they hold before they go, as {@code spark.decommission.enabled} and
     * {@code spark.storage.decommission.enabled} say.
     */
    boolean decommissions() {
        SparkConf conf = context.get().getConf();
        return SparkCalls.canDecommission()
                && conf.getBoolean("spark.decommission.enabled", false)
                && conf.getBoolean("spark.storage.decommission.enabled", false);
    }

    /**
     * Has executors finish the tasks that they run, hand their shuffle files and cached blocks over to others, and go.
     * They get no more tasks.
     *
     * @return the executors that will go
     */
    List<String> decommission(List<String> executorIds) {
        if (context.get().schedulerBackend() instanceof ExecutorAllocationClient client) {
            return SparkCalls.decommissionExecutors(client, executorIds);
        }
        return List.of();
    }

    /**
     * Takes executors away, with the shuffle files and cached blocks that they hold. {@code SparkContext.killExecutors}
     * would refuse under dynamic allocation, hence the detour through the scheduler backend.
     *
     * @param busyToo whether executors go that run tasks, which Spark then runs again elsewhere without counting
     *     them as failed; without it Spark leaves those alone
     * @return the executors that will go
     */
    List<String> kill(List<String> executorIds, boolean busyToo) {
        if (context.get().schedulerBackend() instanceof ExecutorAllocationClient client) {
            return SparkCalls.killExecutors(client, executorIds, busyToo);
        }
        return List.of();
    }
}
