// Listening to a signal for as long as somebody wants to know, and no longer.

/** Calls back when a signal is aborted, at once when it was already; not any more after disposal. */
export function onAbort(signal: AbortSignal, act: () => void): Disposable {
  if (signal.aborted) act();
  else signal.addEventListener("abort", act, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", act) };
}
