"""Forms of texts, said as what to write: nobody is shown a regular expression."""

import re
from dataclasses import dataclass

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Form:
    """The form of a text, to be put into `Annotated`; OpenAPI shows the pattern, refusals what to write.

    Args:
        pattern: Of the whole text.
        write: What fits, as the end of a sentence that begins with "write", with an example.
    """

    pattern: str
    write: str

    def checked(self, text: str) -> str:
        """The text itself. Raises ValueError where it is of another form."""
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError(f"write {self.write}")
        return text

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": self.pattern}
