// ctx.db: the app's SQL database.

import { native, viewOf } from "./native.js";

/** A statement the database refused. `code` is one of the cases of the WIT interface's error. */
export class DatabaseError extends Error {
  constructor({ code, message }) {
    super(message);
    this.code = code;
  }
  get name() { return "DatabaseError"; }
}

/** The Rust side returns failures as objects that are not arrays. */
function check(result) {
  if (typeof result === "object" && result !== null && !Array.isArray(result)) throw new DatabaseError(result);
  return result;
}

const LEADING = /^(?:\s+|--[^\n]*\n|\/\*[\s\S]*?\*\/)*/;

/** Whether a statement yields rows. */
function yieldsRows(sql) {
  const text = sql.replace(LEADING, "");
  return /^(?:SELECT|VALUES|EXPLAIN|PRAGMA)\b/i.test(text) || /\bRETURNING\b/i.test(text) ||
    (/^WITH\b/i.test(text) && !/\b(?:INSERT|UPDATE|DELETE|REPLACE)\b/i.test(text));
}

function parametersOf(values) {
  return Array.from(values ?? [], (value) => {
    if (value instanceof Date) return value.toISOString();
    const view = viewOf(value);
    if (view !== undefined) return view;
    return typeof value === "object" && value !== null ? JSON.stringify(value) : value;
  });
}

/** The statements of a transaction, or outside one. */
class Connection {
  #transaction;
  constructor(transaction) {
    this.#transaction = transaction;
  }
  /** Runs a statement: `{ rows, columns, changes, lastInsertId }`. */
  async query(sql, parameters = []) {
    const text = String(sql);
    const values = parametersOf(parameters);
    if (!yieldsRows(text)) {
      const [changes, lastInsertId] = check(native.dbExecute(this.#transaction, text, values));
      return { rows: [], columns: [], changes, lastInsertId };
    }
    const [columns, lists] = check(native.dbQuery(this.#transaction, text, values));
    const rows = lists.map((list) => Object.fromEntries(columns.map((column, index) => [column, list[index]])));
    return { rows, columns, changes: 0, lastInsertId: 0 };
  }
}

class Database extends Connection {
  constructor() {
    super(0);
  }
  /** Runs `action` in a transaction: commits when it resolves, rolls back when it throws. */
  async transaction(action, options = undefined) {
    const number = check(native.dbBegin(Boolean(options?.readOnly)));
    let result;
    try {
      result = await action(new Connection(number));
    } catch (error) {
      native.dbRollback(number);
      throw error;
    }
    check(native.dbCommit(number));
    return result;
  }
}

export const database = new Database();
