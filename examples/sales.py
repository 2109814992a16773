"""Reports over a shop's sales by Spark SQL: scans, a broadcast join, sort-merge joins, aggregates, a window.

Reading waits, as from remote storage: every task that reads sales waits `--read-seconds-per-partition`,
and nothing is cached between queries. That is the only thing simulated, and what makes more executors
worthwhile on one machine. Rows are made where they are read, from the seed: no input is needed.
Jobs, stages, shuffles, joins and the adaptive execution of queries are Spark's own.

Each period, one after the other, is asked four questions. Runs anywhere:
`spark-submit --master 'local[2]' sales.py --periods 1`.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

REGIONS = 8
CATEGORIES = 12
DAYS = 90
"""Of a period."""

_SALES = "customer long, product long, day int, quantity int, cents long"


@dataclass(frozen=True)
class Shop:
    """How much is sold, and how its sales are stored."""

    sales: int
    """Of a period."""
    customers: int
    products: int
    partitions: int
    read_seconds_per_partition: float
    seed: int

    def read(self, period: int, partition: int) -> Iterator[tuple[int, int, int, int, int]]:
        """The sales of one partition of a period, always the same ones: as `_SALES` names the columns."""
        time.sleep(self.read_seconds_per_partition)
        generator = np.random.default_rng([self.seed, period, partition])
        count = self.sales // self.partitions + (partition < self.sales % self.partitions)
        # Some customers buy much more than others: joins are a little skewed, as real ones are.
        customers = (self.customers * generator.random(count) ** 2).astype(np.int64)
        columns = (
            customers,
            generator.integers(self.products, size=count),
            generator.integers(DAYS, size=count),
            generator.integers(1, 6, size=count),
            generator.integers(100, 10_000, size=count),
        )
        yield from zip(*(column.tolist() for column in columns), strict=True)


def sales_of(spark: SparkSession, shop: Shop, period: int) -> DataFrame:
    """A period's sales, read anew by every query."""
    partitions = spark.sparkContext.parallelize(range(shop.partitions), shop.partitions)
    rows = partitions.flatMap(lambda partition: shop.read(period, partition))
    sold = spark.createDataFrame(rows, _SALES, verifySchema=False)
    return sold.withColumn("revenue", F.col("quantity") * F.col("cents"))


def customers_of(spark: SparkSession, shop: Shop) -> DataFrame:
    region = (F.col("id") % REGIONS).alias("region")
    return spark.range(shop.customers).select(F.col("id").alias("customer"), region)


def products_of(spark: SparkSession, shop: Shop) -> DataFrame:
    category = (F.col("id") % CATEGORIES).alias("category")
    return spark.range(shop.products).select(F.col("id").alias("product"), category)


def revenue(spark: SparkSession, shop: Shop, period: int) -> int:
    """Of a whole period, by a scan and an aggregate of its days."""
    days = sales_of(spark, shop, period).groupBy("day").agg(F.sum("revenue").alias("revenue"))
    return sum(row["revenue"] for row in days.collect())


def revenue_by_category(spark: SparkSession, shop: Shop, period: int) -> dict[int, int]:
    """The few products travel to every task: a broadcast join."""
    joined = sales_of(spark, shop, period).join(F.broadcast(products_of(spark, shop)), "product")
    by_category = joined.groupBy("category").agg(F.sum("revenue").alias("revenue"))
    return {row["category"]: row["revenue"] for row in by_category.collect()}


def revenue_by_region(spark: SparkSession, shop: Shop, period: int) -> dict[int, int]:
    """Sales and customers are both sorted by customer: a sort-merge join."""
    joined = sales_of(spark, shop, period).join(customers_of(spark, shop).hint("merge"), "customer")
    by_region = joined.groupBy("region").agg(F.sum("revenue").alias("revenue"))
    return {row["region"]: row["revenue"] for row in by_region.collect()}


def best_customers(spark: SparkSession, shop: Shop, period: int) -> dict[int, int]:
    """Revenue of each region's best customer: a sort-merge join, and a window over what it gives."""
    spent = sales_of(spark, shop, period).groupBy("customer").agg(F.sum("revenue").alias("revenue"))
    joined = spent.join(customers_of(spark, shop).hint("merge"), "customer")
    order = Window.partitionBy("region").orderBy(F.desc("revenue"), "customer")
    best = joined.withColumn("rank", F.row_number().over(order)).where(F.col("rank") == 1)
    return {row["region"]: row["revenue"] for row in best.collect()}


def report(spark: SparkSession, shop: Shop, period: int) -> int:
    """Ask all questions of a period; its revenue in cents.

    Raises:
        SystemExit: The answers contradict each other.
    """
    total = revenue(spark, shop, period)
    categories = revenue_by_category(spark, shop, period)
    regions = revenue_by_region(spark, shop, period)
    best = best_customers(spark, shop, period)
    # Every sale is of one product and of one customer: no join loses or doubles any.
    if not total == sum(categories.values()) == sum(regions.values()):
        raise SystemExit(f"period {period}: the joins lose or double sales")
    if any(best[region] > regions[region] for region in best):
        raise SystemExit(f"period {period}: a customer has spent more than the whole region")
    print(
        f"period {period}: revenue {total / 100:.2f}, best customer {max(best.values()) / 100:.2f}",
        flush=True,
    )
    return total


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Reports by Spark SQL whose scans wait as for remote storage."
    )
    parser.add_argument("--periods", type=int, default=3, help="to report on, one after the other")
    parser.add_argument("--sales", type=int, default=40_000, help="rows of a period")
    parser.add_argument("--customers", type=int, default=4_000)
    parser.add_argument("--products", type=int, default=200)
    parser.add_argument("--partitions", type=int, default=8, help="tasks of each scan of sales, which wait")
    parser.add_argument("--shuffle-partitions", type=int, default=4, help="tasks after a shuffle, at most")
    parser.add_argument("--read-seconds-per-partition", type=float, default=0.5, help="simulated latency")
    parser.add_argument("--seed", type=int, default=0)
    parsed = parser.parse_args(arguments)
    for name in ("periods", "sales", "customers", "products", "partitions", "shuffle_partitions"):
        if getattr(parsed, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if parsed.read_seconds_per_partition < 0:
        parser.error("--read-seconds-per-partition must not be negative")
    return parsed


def main() -> None:
    arguments = parse_arguments()
    spark = SparkSession.builder.appName("Sales").getOrCreate()
    try:
        spark.conf.set("spark.sql.shuffle.partitions", str(arguments.shuffle_partitions))
        shop = Shop(
            sales=arguments.sales,
            customers=arguments.customers,
            products=arguments.products,
            partitions=arguments.partitions,
            read_seconds_per_partition=arguments.read_seconds_per_partition,
            seed=arguments.seed,
        )
        total = sum(report(spark, shop, period) for period in range(arguments.periods))
        print(f"total revenue {total / 100:.2f}", flush=True)
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
