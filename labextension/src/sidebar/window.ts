import { RefObject, useCallback, useEffect, useRef, useState } from 'react';

/** Pixels of a row of a list. The style sheet has the same. */
export const ROW_HEIGHT = 46;
/** Rows drawn above and below what is seen, so that scrolling shows no gaps. */
const SPARE = 6;
/** Pixels taken for the height of a box that has none yet. */
const HEIGHT = 480;

export interface IWindow {
  /** The box that scrolls. */
  box: RefObject<HTMLDivElement>;
  /** The rows to draw: from `first` to before `end`. */
  first: number;
  end: number;
  /** Rows that fit into the box. */
  page: number;
  onScroll: () => void;
  /** Scroll as little as shows a row whole. */
  reveal: (index: number) => void;
}

/** The rows to draw of a list of any length whose rows have one height: those in sight, and a few around them. */
export function span(scrollTop: number, height: number, count: number): [first: number, end: number] {
  const first = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - SPARE);
  const end = Math.min(count, Math.ceil((scrollTop + height) / ROW_HEIGHT) + SPARE);
  return [Math.min(first, Math.max(0, end - 1)), end];
}

/** Keeps to the rows in sight while the box scrolls and changes its size; draws anew only when the rows change. */
export function useWindow(count: number): IWindow {
  const box = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState({ top: 0, height: HEIGHT });

  const look = useCallback(() => {
    const { scrollTop, clientHeight } = box.current!;
    const top = scrollTop - (scrollTop % ROW_HEIGHT);
    const height = clientHeight || HEIGHT;
    setSeen(before => (before.top === top && before.height === height ? before : { top, height }));
  }, []);

  useEffect(() => {
    look();
    if (typeof ResizeObserver === 'undefined') {
      return;
    }
    const observer = new ResizeObserver(look);
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, [look]);

  const reveal = useCallback(
    (index: number) => {
      const found = box.current!;
      const height = found.clientHeight || HEIGHT;
      const top = index * ROW_HEIGHT;
      if (top < found.scrollTop) {
        found.scrollTop = top;
      } else if (top + ROW_HEIGHT > found.scrollTop + height) {
        found.scrollTop = top + ROW_HEIGHT - height;
      }
      look();
    },
    [look]
  );

  // One row more than the height, since the first may be seen in part.
  const [first, end] = span(seen.top, seen.height + ROW_HEIGHT, count);
  return { box, first, end, page: Math.max(1, Math.floor(seen.height / ROW_HEIGHT)), onScroll: look, reveal };
}
