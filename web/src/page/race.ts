/** Two workers in step: each round of training ends for both before the next begins. */

import type { Data } from "../data";
import type { Command, Racer, Snapshot } from "../protocol";
import { type LaneName, LANES } from "./state";

declare const WORKER_SOURCE: string;

/** Milliseconds of training between two pictures. */
const FRAME = 50;
/** Steps after which a race rests. */
export const LONGEST = 5000;

export class Race {
  private readonly workers: Record<LaneName, Worker>;
  private round = 0;
  private waiting = 0;
  private latest: Partial<Record<LaneName, Snapshot>> = {};
  private running = false;
  private speed = 60;
  private sent = 0;
  private timer = 0;
  private asked: (() => void) | null = null;

  /** @param seen Is given both networks' snapshots after every command. */
  constructor(private readonly seen: (both: Record<LaneName, Snapshot>) => void) {
    const address = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: "text/javascript" }));
    const make = (lane: LaneName): Worker => {
      const worker = new Worker(address);
      worker.onmessage = (event: MessageEvent<Snapshot>) => this.hear(lane, event.data);
      return worker;
    };
    this.workers = { A: make("A"), B: make("B") };
  }

  /** Put both networks at their start. */
  begin(racers: Record<LaneName, Racer>, data: Data): void {
    // While one start is made, of all that are asked for the last counts: a dragged point asks for many.
    if (this.waiting > 0 && this.latest.A?.round !== this.round) {
      this.asked = () => this.begin(racers, data);
      return;
    }
    this.asked = null;
    this.round++;
    window.clearTimeout(this.timer);
    this.waiting = LANES.length;
    this.sent = performance.now();
    for (const lane of LANES) this.send(lane, { kind: "begin", round: this.round, racer: racers[lane], data });
  }

  /** Train at so many steps a second; infinity is as fast as it goes. */
  run(speed: number): void {
    this.speed = speed;
    this.running = true;
    if (this.waiting === 0) this.next();
  }

  pause(): void {
    this.running = false;
    window.clearTimeout(this.timer);
  }

  /** Train so many steps, once. */
  advance(steps: number): void {
    if (this.waiting === 0) this.order(steps);
  }

  private send(lane: LaneName, command: Command): void {
    this.workers[lane].postMessage(command);
  }

  private order(steps: number): void {
    this.waiting = LANES.length;
    this.sent = performance.now();
    for (const lane of LANES) this.send(lane, { kind: "run", round: this.round, steps });
  }

  private hear(lane: LaneName, snapshot: Snapshot): void {
    if (snapshot.round !== this.round) return;
    this.latest[lane] = snapshot;
    if (--this.waiting > 0) return;
    const { A, B } = this.latest;
    if (A === undefined || B === undefined) return;
    if (this.asked !== null) {
      this.asked();
      return;
    }
    this.seen({ A, B });
    if (this.running) this.next();
  }

  /** Order what fills a frame, at the speed asked for. */
  private next(): void {
    const { A, B } = this.latest;
    if (A === undefined || B === undefined || A.step >= LONGEST || (A.diverged && B.diverged)) return;
    const pace = Math.max(A.pace, B.pace, 1e-3);
    const frame = Math.max(FRAME, 1000 / this.speed);
    const steps = Math.max(1, Math.min(Math.round(FRAME / pace), Math.round((this.speed * frame) / 1000), LONGEST - A.step));
    const rest = this.speed === Infinity ? 0 : this.sent + (1000 * steps) / this.speed - performance.now();
    window.clearTimeout(this.timer);
    if (rest > 1) this.timer = window.setTimeout(() => this.order(steps), rest);
    else this.order(steps);
  }
}
