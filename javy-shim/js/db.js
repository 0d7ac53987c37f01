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

/** The Rust side returns failures as objects with a code. */
function check(result) {
  if (result?.code !== undefined) throw new DatabaseError(result);
  return result;
}

/** The connection of the caller of the function. */
const OF_CALLER = 0;

/** Dates become text as JSON has them, buffer sources bytes, other objects JSON. */
function valueOf(value) {
  if (typeof value === "bigint" && BigInt.asIntN(64, value) !== value) throw new RangeError("A BigInt parameter does not fit 64 bits");
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Date) return value.toISOString();
  return viewOf(value) ?? JSON.stringify(value);
}

const isIterable = (parameters) => typeof parameters[Symbol.iterator] === "function";

/** The names of parameters that go by them: those of an object that is not iterable. Any other goes by its order. */
function namesOf(parameters) {
  if (parameters === undefined || parameters === null || Array.isArray(parameters)) return null;
  if (typeof parameters !== "object") throw new TypeError("The parameters of a statement are an array, or an object of names and values");
  return isIterable(parameters) ? null : Object.keys(parameters);
}

/** Whether they are as the Rust side takes them. Most are. */
function areValues(parameters) {
  for (let index = 0; index < parameters.length; index += 1) {
    const type = typeof parameters[index];
    if (type === "object" || type === "bigint") return false;
  }
  return true;
}

function valuesOf(parameters) {
  if (parameters === undefined || parameters === null) return [];
  if (Array.isArray(parameters)) return areValues(parameters) ? parameters : parameters.map(valueOf);
  return isIterable(parameters) ? Array.from(parameters, valueOf) : Object.values(parameters).map(valueOf);
}

/** The texts, names and values of statements, each a text or `{ sql, parameters }`. */
function listed(statements) {
  const list = Array.from(statements, (one) => (typeof one === "object" && one !== null ? one : { sql: one }));
  return [list.map((one) => String(one.sql)), list.map((one) => namesOf(one.parameters)), list.map((one) => valuesOf(one.parameters))];
}

const changesOf = ({ changes, lastInsertId }) => ({ changes, lastInsertId });

class Transaction {
  #number;
  constructor(number) {
    this.#number = number;
  }
  /** Runs a statement: `{ rows, columns, changes, lastInsertId }`. */
  async query(sql, parameters = undefined) { return this.#run(sql, parameters); }
  /** Runs a statement of which only what it changes matters: `{ changes, lastInsertId }`. */
  async execute(sql, parameters = undefined) { return changesOf(this.#run(sql, parameters)); }
  #run(sql, parameters) {
    return check(native.dbRunInTransaction(this.#number, String(sql), namesOf(parameters), valuesOf(parameters)));
  }
  /** Runs statements as the database's `batch` does: all or none, and then the transaction goes on as it was before them. */
  async batch(statements) { return check(native.dbBatchInTransaction(this.#number, ...listed(statements))); }
  /** The rows of a statement that reads, for `for await`. Until it ends, the transaction runs no other statement. */
  stream(sql, parameters = undefined) {
    return new RowStream(check(native.dbOpenInTransaction(this.#number, String(sql), namesOf(parameters), valuesOf(parameters))));
  }
}

/** The rows of a statement, as many as there are: read from the host in pieces, as they are asked for. */
class RowStream {
  #cursor;
  #rows = [];
  #at = 0;
  constructor(cursor) {
    this.#cursor = cursor;
  }
  async next() {
    return this.#fill() ? { value: this.#rows[this.#at++], done: false } : { value: undefined, done: true };
  }
  async return(value) {
    this.#close();
    return { value, done: true };
  }
  [Symbol.asyncIterator]() { return new RowIterator(this, () => this.#inTurn()); }
  /** As `next`, with one result and one promise of it for all rows: a promise costs more than a row. */
  #inTurn() {
    const result = { value: undefined, done: false };
    const promise = Promise.resolve(result);
    return () => {
      try {
        if (!this.#fill()) return this.next();
      } catch (error) {
        return Promise.reject(error);
      }
      result.value = this.#rows[this.#at++];
      return promise;
    };
  }
  /** Whether there is a row, read from the host if need be. */
  #fill() {
    if (this.#at < this.#rows.length) return true;
    if (this.#cursor === undefined) return false;
    try {
      this.#rows = check(native.dbNext(this.#cursor));
    } catch (error) {
      this.#close();
      throw error;
    }
    this.#at = 0;
    if (this.#rows.length === 0) this.#close();
    return this.#rows.length > 0;
  }
  #close() {
    if (this.#cursor !== undefined) native.dbClose(this.#cursor);
    this.#cursor = undefined;
    this.#rows = [];
    this.#at = 0;
  }
}

/** The rows of a stream for whoever iterates over them. */
class RowIterator {
  #stream;
  #inTurn;
  constructor(stream, inTurn) {
    this.#stream = stream;
    this.#inTurn = inTurn;
  }
  /** `for await` asks for the method once, and is done with a result before it wants the next. Who asks again may keep results. */
  get next() {
    const inTurn = this.#inTurn;
    this.#inTurn = undefined;
    return inTurn === undefined ? () => this.#stream.next() : inTurn();
  }
  return(value) { return this.#stream.return(value); }
  [Symbol.asyncIterator]() { return this; }
}

/** The database in one role. */
class Database {
  #number;
  constructor(number) {
    this.#number = number;
  }
  /** Runs a statement: `{ rows, columns, changes, lastInsertId }`. */
  async query(sql, parameters = undefined) { return this.#run(sql, parameters); }
  /** Runs a statement of which only what it changes matters: `{ changes, lastInsertId }`. */
  async execute(sql, parameters = undefined) { return changesOf(this.#run(sql, parameters)); }
  #run(sql, parameters) {
    return check(native.dbRun(this.#number, String(sql), namesOf(parameters), valuesOf(parameters)));
  }
  /** Runs statements, each a text or `{ sql, parameters }`, in one transaction: all or none. Returns what each did. */
  async batch(statements) { return check(native.dbBatch(this.#number, ...listed(statements))); }
  /** The rows of a statement that reads, for `for await`: in the memory of a few hundred. */
  stream(sql, parameters = undefined) {
    const cursor = check(native.dbOpen(this.#number, String(sql), namesOf(parameters), valuesOf(parameters)));
    return new RowStream(cursor);
  }
  /** Runs `action` in a transaction: commits when it resolves, rolls back when it throws. */
  async transaction(action, options = undefined) {
    const number = check(native.dbBegin(this.#number, Boolean(options?.readOnly)));
    let result;
    try {
      result = await action(new Transaction(number));
    } catch (error) {
      native.dbRollback(number);
      throw error;
    }
    check(native.dbCommit(number));
    return result;
  }
  /** Runs `action` with the database as a user sees it. */
  asUser(id, action) {
    if (id === undefined || id === null) throw new TypeError("asUser: the id of the user is missing");
    return actAs("authenticated", String(id), action);
  }
  /** Runs `action` with the database as anybody sees it. */
  asAnon(action) { return actAs("anon", "", action); }
  /** Runs `action` with the database as the app itself sees it; the function's settings must allow it. */
  asService(action) { return actAs("service_role", "", action); }
}

async function actAs(role, user, action) {
  const number = check(native.dbConnect(role, user));
  try {
    return await action(new Database(number));
  } finally {
    native.dbDisconnect(number);
  }
}

export const database = new Database(OF_CALLER);
