import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { Folder } from './folder.js';
import { untilOr } from './until.js';
import { within } from './within.js';

/** The longest that a browser may take for one thing, in milliseconds. */
const LIMIT = 120_000;

const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome'];

/** How a page is looked at. */
export interface Look {
  readonly width: number;
  readonly height: number;
  readonly scheme: 'light' | 'dark';
}

/** The program of a browser that is installed here, if there is one. */
export function browserProgram(): string | undefined {
  return PROGRAMS.find((program) => spawnSync(program, ['--version']).status === 0);
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

/** Chromium without a window, with one page, spoken to by the DevTools protocol over pipes. */
export class Browser {
  /** What pages complained of, and what they wanted of other machines. */
  readonly complaints: string[] = [];
  readonly #profile = new Folder();
  readonly #child: ChildProcess;
  readonly #answers = new Map<number, (message: Message) => void>();
  /** Of documents, by what the browser calls their loading. */
  readonly #loaded = new Set<unknown>();
  #session: unknown;
  #count = 0;
  #text = '';

  private constructor(program: string) {
    const options = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars'];
    const quiet = [
      '--no-first-run',
      '--disable-extensions',
      '--disable-background-networking',
      '--disable-component-update',
    ];
    const own = [`--user-data-dir=${this.#profile.path}`, '--remote-debugging-pipe', 'about:blank'];
    this.#child = spawn(program, [...options, ...quiet, ...own], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    const output = this.#child.stdio[4] as Readable;
    output.setEncoding('utf8').on('data', (text: string) => this.#read(text));
  }

  static async start(program: string): Promise<Browser> {
    const browser = new Browser(program);
    const { targetId } = await browser.#call('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await browser.#call('Target.attachToTarget', { targetId, flatten: true });
    browser.#session = sessionId;
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await browser.#call(`${domain}.enable`);
    await browser.#call('Page.setLifecycleEventsEnabled', { enabled: true });
    return browser;
  }

  /** Opens an address, and waits until it is there with all that belongs to it. */
  async open(url: string, { width, height, scheme }: Look): Promise<void> {
    await this.#call('Emulation.setDeviceMetricsOverride', {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: width < 700,
    });
    await this.#call('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
    const { loaderId, errorText } = await this.#call('Page.navigate', { url });
    if (errorText !== undefined) throw new Error(`${url}: ${errorText}`);
    await untilOr(
      LIMIT,
      () => this.#loaded.has(loaderId),
      () => `${url} is not there`,
    );
  }

  /** What an expression is in the page; a promise is waited for. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = await this.#call('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    const { result, exceptionDetails } = answer as { result: { value?: unknown }; exceptionDetails?: unknown };
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return result.value;
  }

  /** Writes a picture of the whole page, up to so many pixels of its height. */
  async screenshot(path: string, most = 6000): Promise<void> {
    const { cssContentSize } = await this.#call('Page.getLayoutMetrics');
    const { width, height } = cssContentSize as { width: number; height: number };
    const clip = { x: 0, y: 0, width, height: Math.min(height, most), scale: 1 };
    const { data } = await this.#call('Page.captureScreenshot', { clip, captureBeyondViewport: true });
    mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true });
    writeFileSync(path, Buffer.from(String(data), 'base64'));
  }

  async end(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#session = undefined;
    await this.#call('Browser.close');
    await within(LIMIT, () => 'the browser does not end', ended);
    this.#profile[Symbol.dispose]();
  }

  async #call(method: string, params: object = {}): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#count;
    const answer = new Promise<Message>((resolve) => this.#answers.set(id, resolve));
    const message =
      this.#session === undefined ? { id, method, params } : { id, method, params, sessionId: this.#session };
    (this.#child.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    const { result, error } = await within(LIMIT, () => `the browser does not answer ${method}`, answer);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  #read(text: string): void {
    const messages = (this.#text + text).split('\0');
    this.#text = messages.pop() ?? '';
    for (const message of messages) this.#take(JSON.parse(message));
  }

  #take({ id, method, params, ...answer }: Message): void {
    if (id !== undefined) this.#answers.get(id)?.(answer);
    else if (method === 'Page.lifecycleEvent' && params?.name === 'load') this.#loaded.add(params.loaderId);
    else if (method === 'Runtime.exceptionThrown' || method === 'Log.entryAdded')
      this.complaints.push(`${method}: ${JSON.stringify(params)}`);
    else if (method === 'Runtime.consoleAPICalled') this.complaints.push(`console: ${JSON.stringify(params?.args)}`);
    else if (method === 'Network.requestWillBeSent') this.#request(params as { request: { url: string } });
  }

  #request({ request: { url } }: { readonly request: { readonly url: string } }): void {
    if (!/^(data:|http:\/\/127\.0\.0\.1:)/.test(url)) this.complaints.push(`it wants ${url}`);
  }
}
