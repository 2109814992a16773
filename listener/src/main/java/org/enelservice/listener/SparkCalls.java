package org.enelservice.listener;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.ExecutorAllocationClient;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.ExecutorDecommissionInfo;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.StageInfo;
import org.apache.spark.storage.RDDInfo;
import scala.Option;
import scala.Tuple2;
import scala.collection.Iterable;
import scala.collection.Iterator;
import scala.collection.immutable.Nil$;

/**
 * What is asked of Spark beyond what it promises to keep.
 *
 * <p>Most of it are methods that take or return a Scala sequence. {@code Seq} is another type in Scala 2.12 than in 2.13, so
 * what the compiler links for one does not exist in the other: they are looked up by name, once. A method that is not
 * there fails when it is called, and is told by {@link #missingForReports} and {@link #missingForRescaling}.
 */
final class SparkCalls {

    private static final Call STAGE_INFOS = Call.of(SparkListenerJobStart.class, "stageInfos", 0);
    private static final Call RDD_INFOS = Call.of(StageInfo.class, "rddInfos", 0);
    private static final Call PARENT_IDS = Call.of(StageInfo.class, "parentIds", 0);
    private static final Call EXECUTOR_IDS = Call.of(SparkContext.class, "getExecutorIds", 0);
    private static final Call REQUEST_EXECUTORS = Call.of(SparkContext.class, "requestTotalExecutors", 3);
    private static final Call KILL_EXECUTORS = Call.of(ExecutorAllocationClient.class, "killExecutors", 4);
    private static final Call DECOMMISSION_EXECUTORS =
            Call.of(ExecutorAllocationClient.class, "decommissionExecutors", 3);

    /** A method by its name; {@code handle} is {@code null} where this Spark has none of that kind. */
    private record Call(String name, MethodHandle handle) {

        static Call of(Class<?> owner, String method, int parameters) {
            String name = owner.getSimpleName() + "." + method;
            try {
                for (Method each : owner.getMethods()) {
                    if (each.getName().equals(method) && each.getParameterCount() == parameters && !each.isBridge()) {
                        return new Call(name, MethodHandles.publicLookup().unreflect(each));
                    }
                }
            } catch (IllegalAccessException | LinkageError unusable) {
                return new Call(name, null);
            }
            return new Call(name, null);
        }

        Object on(Object... targetAndArguments) {
            if (handle == null) {
                throw new NoSuchMethodError(name);
            }
            try {
                return handle.invokeWithArguments(targetAndArguments);
            } catch (RuntimeException | Error failure) {
                throw failure;
            } catch (Throwable checked) {
                throw new IllegalStateException(checked);
            }
        }
    }

    private SparkCalls() {
    }

    /**
     * Has a listener hear of events beside Spark's own that look after executors.
     *
     * <p>Those that applications bring have a queue of their own, where a slow one would hold up reports and
     * rescaling, or lose them events.
     */
    static void listen(SparkContext context, SparkListener listener) {
        try {
            context.listenerBus().addToManagementQueue(listener);
        } catch (LinkageError absent) {
            context.addSparkListener(listener);
        }
    }

    /** Names of the methods without which no job can be reported; empty where all are there. */
    static List<String> missingForReports() {
        return missing(STAGE_INFOS, RDD_INFOS, PARENT_IDS);
    }

    /** Names of the methods without which no scale-out can be changed; empty where all are there. */
    static List<String> missingForRescaling() {
        return missing(REQUEST_EXECUTORS, KILL_EXECUTORS);
    }

    private static List<String> missing(Call... calls) {
        List<String> names = new ArrayList<>();
        for (Call call : calls) {
            if (call.handle() == null) {
                names.add(call.name());
            }
        }
        return names;
    }

    static List<StageInfo> stageInfos(SparkListenerJobStart event) {
        return elements(STAGE_INFOS.on(event), StageInfo.class);
    }

    static List<RDDInfo> rddInfos(StageInfo stage) {
        return elements(RDD_INFOS.on(stage), RDDInfo.class);
    }

    static List<Integer> parentIds(StageInfo stage) {
        return elements(PARENT_IDS.on(stage), Integer.class);
    }

    /** Ids of the executors that the scheduler knows; the driver is none of them. */
    static List<String> executorIds(SparkContext context) {
        return elements(EXECUTOR_IDS.on(context), String.class);
    }

    static boolean requestTotalExecutors(SparkContext context, int total) {
        return (Boolean) REQUEST_EXECUTORS.on(context, total, 0, new scala.collection.immutable.HashMap<>());
    }

    /** Tells executors to go, without adjusting the requested total; returns those that will. */
    static List<String> killExecutors(ExecutorAllocationClient client, List<String> executorIds, boolean busyToo) {
        return elements(KILL_EXECUTORS.on(client, scalaList(executorIds), false, false, busyToo), String.class);
    }

    /** Whether this Spark can have executors hand over what they hold before they go. */
    static boolean canDecommission() {
        return DECOMMISSION_EXECUTORS.handle() != null;
    }

    /** Has executors finish their tasks, hand over their blocks and go; returns those that will. */
    static List<String> decommissionExecutors(ExecutorAllocationClient client, List<String> executorIds) {
        ExecutorDecommissionInfo why = new ExecutorDecommissionInfo("there are more than recommended", Option.empty());
        Tuple2<?, ?>[] each = executorIds.stream().map(id -> new Tuple2<>(id, why)).toArray(Tuple2<?, ?>[]::new);
        return elements(DECOMMISSION_EXECUTORS.on(client, each, false, false), String.class);
    }

    private static <T> List<T> elements(Object sequence, Class<T> type) {
        List<T> found = new ArrayList<>();
        Iterator<?> each = ((Iterable<?>) sequence).iterator();
        while (each.hasNext()) {
            found.add(type.cast(each.next()));
        }
        return found;
    }

    /** A Scala {@code List}, which is what both call a {@code Seq}. */
    private static scala.collection.immutable.List<?> scalaList(List<String> elements) {
        scala.collection.immutable.List<?> list = Nil$.MODULE$;
        for (int at = elements.size() - 1; at >= 0; at--) {
            list = list.$colon$colon(elements.get(at));
        }
        return list;
    }
}
