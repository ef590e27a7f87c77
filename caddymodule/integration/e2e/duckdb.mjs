// Runs a query in DuckDB and prints the rows as JSON: a reader of files that nobody here wrote.
import { DuckDBInstance } from '@duckdb/node-api'

const connection = await (await DuckDBInstance.create()).connect()
const rows = await connection.runAndReadAll(process.argv[2])
console.log(JSON.stringify(rows.getRowObjectsJson()))
