package org.enelservice.listener;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.spark.storage.BlockUpdatedInfo;
import org.apache.spark.storage.RDDBlockId;

/**
 * Which partitions of which RDD are cached where. Not thread-safe: it belongs to the listener bus.
 *
 * <p>The {@code RDDInfo}s of a stage have fields for this, but Spark fills them when the stage is created and
 * never afterwards, so they are always 0.
 */
final class CachedBlocks {

    /**
     * What is cached of one RDD.
     *
     * @param partitions distinct partitions; sizes count every replica
     */
    record Cached(int partitions, long memSize, long diskSize) {
    }

    private record Place(String executorId, int partition) {
    }

    private record Size(long memory, long disk) {
    }

    private final Map<Integer, Map<Place, Size>> blocksByRdd = new HashMap<>();

    void updated(BlockUpdatedInfo update) {
        if (update.blockId().asRDDId().isEmpty()) {
            return;
        }
        RDDBlockId block = update.blockId().asRDDId().get();
        Place place = new Place(update.blockManagerId().executorId(), block.splitIndex());
        if (update.storageLevel().isValid()) {
            blocksByRdd.computeIfAbsent(block.rddId(), rdd -> new HashMap<>())
                    .put(place, new Size(update.memSize(), update.diskSize()));
        } else {
            blocksByRdd.getOrDefault(block.rddId(), new HashMap<>()).remove(place);
        }
    }

    void unpersisted(int rddId) {
        blocksByRdd.remove(rddId);
    }

    /** Forgets what was cached on an executor; Spark announces no update of its blocks when it is lost. */
    void lost(String executorId) {
        for (Map<Place, Size> blocks : blocksByRdd.values()) {
            blocks.keySet().removeIf(place -> place.executorId().equals(executorId));
        }
    }

    Cached of(int rddId) {
        Set<Integer> partitions = new HashSet<>();
        long memory = 0;
        long disk = 0;
        for (Map.Entry<Place, Size> block : blocksByRdd.getOrDefault(rddId, Map.of()).entrySet()) {
            partitions.add(block.getKey().partition());
            memory += block.getValue().memory();
            disk += block.getValue().disk();
        }
        return new Cached(partitions.size(), memory, disk);
    }
}
