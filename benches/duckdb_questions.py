"""Answers the benchmark's questions with DuckDB, one at a time, as it is told.

    duckdb_questions.py QUESTIONS.json EXECUTIONS.ndjson THREADS

Loads the executions into a table in memory and prints {"rows", "version"}. Then each line read is
a command, each line printed its answer:

    run N    asks question N and answers {"ms": wall time until the first row can be read}
    rows N   asks question N and answers {"rows": [[...]]}, times as RFC 3339 in UTC

Turning the answer into Python objects is not timed: it is no work of DuckDB's.
"""

import datetime
import json
import sys
import time

import duckdb

COLUMNS = {
    "id": "UUID",
    "ts": "TIMESTAMP",
    "command": "VARCHAR",
    "user_id": "VARCHAR",
    "team_id": "VARCHAR",
    "project_id": "VARCHAR",
    "session_id": "VARCHAR",
    "host": "VARCHAR",
    "duration_ms": "DOUBLE",
    "exit_code": "BIGINT",
}

# As the contract derives it (124 is a timeout); the workload has no other codes of meaning.
STATUS = "CASE exit_code WHEN 0 THEN 'success' WHEN 124 THEN 'timeout' ELSE 'failure' END"


def load(path, threads):
    connection = duckdb.connect()
    connection.execute(f"SET threads = {int(threads)}")
    connection.execute(
        f"CREATE TABLE executions AS SELECT *, {STATUS} AS status"
        " FROM read_ndjson(?, columns = ?)",
        [path, COLUMNS],
    )
    return connection


def plain(cell):
    if isinstance(cell, datetime.date) and not isinstance(cell, datetime.datetime):
        cell = datetime.datetime(cell.year, cell.month, cell.day)
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(timespec="milliseconds") + "Z"
    return cell


def main():
    questions_path, executions_path, threads = sys.argv[1:]
    with open(questions_path, encoding="utf-8") as file:
        questions = json.load(file)
    connection = load(executions_path, threads)
    rows = connection.execute("SELECT count(*) FROM executions").fetchone()[0]
    print(json.dumps({"rows": rows, "version": duckdb.__version__}), flush=True)
    for line in sys.stdin:
        command, number = line.split()
        sql = questions[int(number)]["sql"]
        if command == "run":
            start = time.perf_counter()
            connection.execute(sql)
            answer = {"ms": (time.perf_counter() - start) * 1000}
        else:
            found = connection.execute(sql).fetchall()
            answer = {"rows": [[plain(cell) for cell in row] for row in found]}
        print(json.dumps(answer), flush=True)


main()
