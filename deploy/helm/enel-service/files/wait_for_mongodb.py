"""Wait until MongoDB lets the service's user in; what it says until then goes to the container's log."""

import os
import time

from pymongo import MongoClient
from pymongo.errors import PyMongoError

while True:
    try:
        with MongoClient(
            os.environ["MONGODB_ENDPOINT"],
            username=os.environ["MONGODB_USERNAME"],
            password=os.environ["MONGODB_PASSWORD"],
            serverSelectionTimeoutMS=2000,
        ) as client:
            client.admin.command("ping")
        break
    except PyMongoError as error:
        print(f"MongoDB is not ready: {str(error)[:200]}", flush=True)  # noqa: T201
        time.sleep(1)
