"""Types of what PyMongo gives and takes."""

from typing import Any

from pymongo import AsyncMongoClient

Client = AsyncMongoClient[dict[str, Any]]
