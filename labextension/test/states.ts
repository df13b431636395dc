import { IBlockState } from '../src/block/state';

/** A job in the middle of its work, with two pods. */
export function running(changes: Partial<IBlockState> = {}): IBlockState {
  return {
    version: 1,
    context: 'engine',
    namespace: 'default',
    kind: 'pytorchjob',
    name: 'facts',
    phase: 'Running',
    tone: 'busy',
    final: false,
    failed: false,
    connected: true,
    elapsed: '5 s',
    progress: { fraction: 0.4, words: 'step 4 of 10' },
    numbers: ['loss 0.4'],
    pods: [
      { place: 'master-0', phase: 'Running', tone: 'busy', uses: '1.0 CPUs', node: 'here' },
      { place: 'worker-0', phase: 'Pending', tone: 'wait', uses: '', node: '' }
    ],
    pods_left_out: 0,
    reason: '',
    advice: '',
    evidence: [],
    fix: '',
    events: [],
    curve: '',
    curve_label: '',
    log: [
      ['master-0', 'begins'],
      ['worker-0', 'joins <b>in</b>'],
      ['', '… 3 lines left out …'],
      ['master-0', 'goes on']
    ],
    url: '',
    result: '',
    can_cancel: true,
    ...changes
  };
}
