import { RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';

/** Pixels of a line. The style sheet has the same. */
export const LINE = 18;
/** The height that the content of the box is given at most: browsers draw nothing below some 17 million pixels. */
export const TALLEST = 8_000_000;
/** Pixels from the end that still count as being at the end. */
const NEAR = LINE / 2;
/** Pixels taken for the height of a box that has none yet. */
const HEIGHT = 480;
/** Pixels of a step of the wheel that says how many lines. */
const WHEEL_LINE = LINE;

/** How high the content of the box is. */
export function heightOf(count: number): number {
  return Math.min(TALLEST, count * LINE);
}

/** How far from the top of the whole log the box is, for where its scroll bar is; and the reverse. */
export function topOf(scrollTop: number, count: number, height: number): number {
  return scrollTop * ratio(count, height);
}

export function scrollTopOf(top: number, count: number, height: number): number {
  return top / ratio(count, height);
}

/** The rows in sight, the last one left out. */
export function inSight(top: number, height: number, count: number): [first: number, end: number] {
  const first = Math.min(Math.floor(top / LINE), Math.max(0, count - 1));
  return [Math.max(0, first), Math.min(count, Math.ceil((top + height) / LINE) + 1)];
}

function ratio(count: number, height: number): number {
  const [whole, content] = [count * LINE - height, heightOf(count) - height];
  return whole > 0 && content > 0 ? whole / content : 1;
}

export interface IScroll {
  box: RefObject<HTMLDivElement>;
  /** Where the rows in sight are drawn: pixels from the top of the content. */
  offset: number;
  first: number;
  end: number;
  /** Rows that fit into the box. */
  page: number;
  /** Whether the last row is in sight. */
  atEnd: boolean;
  onScroll: () => void;
  /** Scroll by pixels. */
  by: (pixels: number) => void;
  /** Scroll so that a row is the first one. */
  to: (row: number) => void;
}

/**
 * Scrolling over any number of rows of one height. With more of them than a box can be high, the scroll bar stands for
 * the whole on a smaller scale, and wheel and keys go by lines all the same. `onUser` hears when a person scrolls.
 */
export function useScroll(count: number, onUser: (atEnd: boolean) => void): IScroll {
  const box = useRef<HTMLDivElement>(null);
  const put = useRef(0); // where we have put the scroll bar, to tell a person's scrolling from ours
  const [wanted, setTop] = useState(0);
  const [height, setHeight] = useState(HEIGHT);
  const most = Math.max(0, count * LINE - height);
  const top = Math.min(wanted, most);
  const now = useRef({ top, height, count, most, onUser });
  now.current = { top, height, count, most, onUser };

  const go = useCallback((to: number, user: boolean) => {
    const { most: last, count: rows, height: high } = now.current;
    const found = Math.max(0, Math.min(last, to));
    now.current.top = found;
    setTop(found);
    box.current!.scrollTop = scrollTopOf(found, rows, high);
    put.current = box.current!.scrollTop;
    if (user) {
      now.current.onUser(last - found < NEAR);
    }
  }, []);

  const onScroll = useCallback(() => {
    const { scrollTop } = box.current!;
    if (Math.abs(scrollTop - put.current) < 1) {
      return;
    }
    const { count: rows, height: high, most: last } = now.current;
    put.current = scrollTop;
    const found = Math.min(last, topOf(scrollTop, rows, high));
    setTop(found);
    now.current.onUser(last - found < NEAR);
  }, []);

  useEffect(() => {
    const node = box.current!;
    const measure = (): void => setHeight(node.clientHeight || HEIGHT);
    measure();
    const observer = typeof ResizeObserver === 'undefined' ? null : new ResizeObserver(measure);
    observer?.observe(node);
    const wheel = (event: WheelEvent): void => {
      if (now.current.count * LINE > TALLEST && event.deltaY && !event.ctrlKey) {
        event.preventDefault(); // a pixel of the scroll bar is more than one of the log
        go(now.current.top + event.deltaY * (event.deltaMode === 0 ? 1 : WHEEL_LINE), true);
      }
    };
    node.addEventListener('wheel', wheel, { passive: false });
    return () => {
      observer?.disconnect();
      node.removeEventListener('wheel', wheel);
    };
  }, []);

  // The scroll bar stands where the rows are, also when there are more of them now.
  useLayoutEffect(() => {
    const place = scrollTopOf(top, count, height);
    if (Math.abs(box.current!.scrollTop - place) >= 1) {
      box.current!.scrollTop = place;
    }
    put.current = box.current!.scrollTop;
  }, [count, height]);

  const [first, end] = inSight(top, height, count);
  const scrollTop = scrollTopOf(top, count, height);
  return {
    box,
    offset: Math.round(scrollTop + first * LINE - top),
    first,
    end,
    page: Math.max(1, Math.floor(height / LINE)),
    atEnd: most - top < NEAR,
    onScroll,
    by: pixels => go(now.current.top + pixels, true),
    to: row => go(row * LINE, false)
  };
}
