// Asking the server, again and again, whether it is there or not.

const PATIENCE_MS = 8000;
const LONGEST_WAIT_MS = 8000;

/** The server answered, and said no: its message, as it was given. */
export class Refused extends Error {}

/** What *path* answers; throws Refused, or whatever fetch throws where nobody answers. */
async function ask(path, parameters, signal) {
  const query = new URLSearchParams(Object.entries(parameters ?? {}).filter(([, value]) => value !== "" && value !== undefined));
  const response = await fetch(`api/v1/${path}${query.size ? `?${query}` : ""}`, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
    cache: "no-store",
  });
  const answer = await response.json();
  if (!response.ok) throw new Refused(answer.error ?? `the server answers ${response.status}`);
  return answer;
}

/** Whether the server answers, and since when. *onChange* is called when that changes. */
export class Link {
  constructor(onChange) {
    this.heardMs = null;
    this.isUp = null;
    this.onChange = onChange;
  }

  heard() {
    this.heardMs = Date.now();
    this.become(true);
  }

  lost() {
    this.become(false);
  }

  become(isUp) {
    if (this.isUp === isUp) return;
    this.isUp = isUp;
    this.onChange(this);
  }
}

/**
 * Ask every *everyMs*. *where* gives [path, parameters], or null while there is nothing to ask; *show* takes the answer and
 * *refuse* the server's no. While nobody answers the wait grows; a page that nobody sees asks seldom.
 * Returns what asks at once, giving up what is under way.
 */
export function poll(link, { where, everyMs, show, refuse }) {
  let timer = 0;
  let waitMs = everyMs;
  let current = null;

  async function turn() {
    clearTimeout(timer);
    current?.abort();
    const mine = new AbortController();
    current = mine;
    try {
      await settle(mine);
    } finally {
      if (mine === current) timer = setTimeout(turn, document.hidden ? LONGEST_WAIT_MS : waitMs);
    }
  }

  async function settle(mine) {
    const [path, parameters] = where() ?? [];
    if (path === undefined) return;
    const { answer, refusal, away } = await attempt(path, parameters, mine.signal);
    if (mine !== current) return;
    if (away) {
      link.lost();
      waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
      return;
    }
    link.heard();
    waitMs = everyMs;
    if (refusal === undefined) show(answer);
    else refuse(refusal);
  }

  turn();
  return turn;
}

/** One attempt: {answer}, {refusal}, or {away} where nobody answers, too late, or with what is no JSON. */
async function attempt(path, parameters, signal) {
  try {
    return { answer: await ask(path, parameters, signal) };
  } catch (error) {
    return error instanceof Refused ? { refusal: error.message } : { away: true };
  }
}
