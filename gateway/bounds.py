"""How much one request may ask, and how what it states must be written: the parser's bounds, which clients are told."""

# The longest texts of three sort fields, as they are sealed, fit into a cursor.
MAX_CURSOR = 96 * 1024
MAX_QUESTION = 64 * 1024
# Whatever was asked for a first page can be asked again with the cursor that it gave.
MAX_BODY = MAX_QUESTION + MAX_CURSOR
MAX_DEPTH = 8
MAX_TESTS = 50
# Each costs a look into a relation of every record, or dozens of ranges.
MAX_COSTLY = 8
# A record has several rows of a relation, and each is folded.
STARTS_IN_ROWS = 4
MAX_PAGE = 200
DEFAULT_PAGE = 50
MAX_SORT = 3
MAX_FIELDS = 200
MAX_VALUES = 100

CASE = "[A-Za-z0-9][A-Za-z0-9 ./:_-]{0,59}"
