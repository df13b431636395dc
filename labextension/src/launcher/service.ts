import { IAddress } from '../block/state';
import { IFault, ISchema } from './spec';

/** A manifest, and for which cluster and namespace it is meant. */
export interface IRequest {
  context: string;
  namespace: string;
  text: string;
}

/** Whether the cluster could run it, and how it would. */
export interface IVerdict {
  ok: boolean;
  findings: { level: string; about: string; text: string }[];
  plan: { title: string; rows: [string, string, string][] } | null;
}

export interface IListed {
  name: string;
  detail: string;
  state: string;
}

/** What the form asks of the server extension: a part of `Server`. */
export interface IFormServer {
  contexts(): Promise<{ contexts: { name: string; namespace: string; current: boolean }[] }>;
  namespaces(context: string): Promise<string[]>;
  schema(context: string, kind: string): Promise<ISchema>;
  check(request: IRequest): Promise<{ faults: IFault[] }>;
  judge(request: IRequest): Promise<IVerdict>;
  submit(request: IRequest & { fresh?: boolean }): Promise<{ address: IAddress; outcome: string }[]>;
  cell(request: IRequest): Promise<string>;
  gpus(
    context: string,
    namespace: string
  ): Promise<{ nodes: { node: string; type: string; total: number; free: number }[] }>;
  models(context: string, namespace: string): Promise<IListed[]>;
  datasets(context: string, namespace: string): Promise<IListed[]>;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
