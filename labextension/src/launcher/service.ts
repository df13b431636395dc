import { Server } from '../server';

/** What the form asks of the server extension. */
export type IFormServer = Pick<
  Server,
  | 'contexts'
  | 'namespaces'
  | 'schema'
  | 'check'
  | 'judge'
  | 'submit'
  | 'cell'
  | 'gpus'
  | 'models'
  | 'datasets'
>;

export type { IText as IRequest, IVerdict } from '../server';
