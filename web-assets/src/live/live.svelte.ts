// The live stream: one connection a page, taken up again where it broke off.
import { request } from '../api/client.ts';
import { reachability } from '../api/reachability.svelte.ts';
import { session } from '../api/session.svelte.ts';
import { type Filter, queryFilter } from '../state/filters.ts';
import { now } from '../state/now.svelte.ts';
import { backoff, type Position, step, type Update } from './protocol.ts';

/** The server closes after two missed pings of 30 s; this finds a dead line from our side. */
const PING_MS = 25_000;
const PONG_MAX_MS = 10_000;
/** Panels load anew at most this often, however much arrives. */
const REFRESH_MS = 4_000;
const SESSION_ENDED = 4401;

type Listener = (update: Update) => void;

class Live {
  status = $state<'off' | 'connecting' | 'live'>('off');
  /** Grows when something may have been missed: lists load anew. */
  gaps = $state(0);

  #socket: WebSocket | undefined;
  #position: Position = { id: 's0', next: undefined };
  #subscriptions = 0;
  #filters: readonly Filter[] = [];
  #attempt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #ping: ReturnType<typeof setInterval> | undefined;
  #pong: ReturnType<typeof setTimeout> | undefined;
  #refresh: ReturnType<typeof setTimeout> | undefined;
  #refreshed = 0;
  #dirty = false;
  /** Whether this page has followed before: then a new start leaves a gap for every panel. */
  #wasLive = false;
  #listeners = new Set<Listener>();

  constructor() {
    if (typeof document === 'undefined') return;
    document.addEventListener('visibilitychange', () => this.#dirty && this.#changed());
  }

  /** Connects, and stays so until `stop`. */
  start(): void {
    if (this.status !== 'off') return;
    this.status = 'connecting';
    void this.#connect();
  }

  stop(): void {
    this.status = 'off';
    clearTimeout(this.#retry);
    clearTimeout(this.#refresh);
    this.#refresh = undefined;
    this.#hangUp();
    this.#position = { ...this.#position, next: undefined };
    this.#wasLive = false;
  }

  /** Follows what passes these filters from now on. */
  follow(filters: readonly Filter[]): void {
    this.#filters = filters;
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#send({ type: 'unsubscribe', id: this.#position.id });
    this.#subscribe(undefined);
  }

  /** Calls `listener` with every update; returns how to end it. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #connect(): Promise<void> {
    try {
      const { ticket } = await request<{ ticket: string }>('/ws/ticket', { method: 'POST', body: {} });
      if (this.status === 'off') return;
      const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
      const socket = new WebSocket(
        `${scheme}://${location.host}/api/v1/ws?ticket=${encodeURIComponent(ticket)}`,
        'emx.v1',
      );
      this.#socket = socket;
      socket.onopen = () => this.#opened();
      socket.onmessage = ({ data }) => typeof data === 'string' && this.#received(data);
      socket.onclose = ({ code }) => socket === this.#socket && this.#closed(code);
    } catch {
      if (session.state === 'signed_in') this.#later();
    }
  }

  #opened(): void {
    this.#subscribe(this.#position.next);
    this.#ping = setInterval(() => {
      this.#send({ type: 'ping' });
      this.#pong ??= setTimeout(() => this.#socket?.close(), PONG_MAX_MS);
    }, PING_MS);
  }

  #subscribe(from: number | undefined): void {
    this.#subscriptions += 1;
    const id = `s${this.#subscriptions}`;
    this.#position = { id, next: from };
    this.#send({
      type: 'subscribe',
      id,
      topics: ['metrics_update'],
      filter: this.#filters.map(queryFilter),
      ...(from === undefined ? {} : { from_seq: from }),
    });
  }

  #received(text: string): void {
    // Any message shows that the line is alive.
    clearTimeout(this.#pong);
    this.#pong = undefined;
    const next = step(text, this.#position);
    switch (next.kind) {
      case 'update':
        this.#position = next.position;
        if (next.update.count === 0) return;
        for (const listener of this.#listeners) listener(next.update);
        this.#changed();
        return;
      case 'subscribed':
        this.#attempt = 0;
        this.status = 'live';
        // Without a place to resume from, what came before this moment has to be asked for.
        if (this.#position.next === undefined) {
          this.gaps += 1;
          if (this.#wasLive) this.#changed();
        }
        this.#wasLive = true;
        return;
      case 'resume':
        return this.#subscribe(next.from);
      case 'restart':
        this.#subscribe(undefined);
        return this.#changed();
    }
  }

  #closed(code: number): void {
    this.#hangUp();
    if (this.status === 'off') return;
    if (code === SESSION_ENDED) {
      // Either a new token can be had, or the page asks to sign in.
      session.refresh().then(
        () => this.#later(),
        () => session.state === 'signed_in' && this.#later(),
      );
      return;
    }
    this.#later();
  }

  #later(): void {
    if (this.status === 'off') return;
    this.status = 'connecting';
    clearTimeout(this.#retry);
    const again = () => void this.#connect();
    const wait = backoff(this.#attempt, Math.random());
    this.#attempt += 1;
    this.#retry = setTimeout(() => (reachability.down ? reachability.whenBack(again) : again()), wait);
  }

  #hangUp(): void {
    clearInterval(this.#ping);
    clearTimeout(this.#pong);
    this.#pong = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #send(message: unknown): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Panels load anew: soon, but seldom, and not while nobody looks. */
  #changed(): void {
    this.#dirty = true;
    if (document.visibilityState !== 'visible' || this.#refresh !== undefined) return;
    const wait = Math.max(300, this.#refreshed + REFRESH_MS - Date.now());
    this.#refresh = setTimeout(() => {
      this.#refresh = undefined;
      if (document.visibilityState !== 'visible') return;
      this.#refreshed = Date.now();
      this.#dirty = false;
      now.advance();
    }, wait);
  }
}

export const live = new Live();
