/** What uPlot wants of a page, already when it is loaded, and jsdom has not: a canvas to draw on that draws nothing. */
const nothing = (): undefined => undefined;
const context = new Proxy({} as Record<string, unknown>, {
  get: (known, name: string) => known[name] ?? (name === 'measureText' ? () => ({ width: 10 }) : nothing),
  set: (known, name: string, value) => ((known[name] = value), true)
});
HTMLCanvasElement.prototype.getContext = (() => context) as any;
(globalThis as any).Path2D = class {
  constructor() {
    return context;
  }
};
window.matchMedia = (() => ({ addEventListener: nothing, removeEventListener: nothing })) as any;

export {};
