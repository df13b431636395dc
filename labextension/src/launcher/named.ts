import { TranslationBundle } from '@jupyterlab/translation';

import { ISchema, Kind, shapeOf } from './spec';

/**
 * A schema with a field for each name that a map of it may have. A fine-tune's hyperparameters are such a map to the API
 * server; which names there are, the preflight knows (`HYPER_PARAMETERS` in `cpod_jupyter/api/finetune.py`).
 */
export function withNames(kind: Kind, schema: ISchema, trans: TranslationBundle): ISchema {
  const known = schema.properties?.hyperParameters;
  if (kind !== 'finetune' || !known || shapeOf(known) !== 'map') {
    return schema;
  }
  const named = (label: string, description: string): ISchema => ({
    type: 'string',
    label,
    description,
    default: 'auto'
  });
  const hyperParameters: ISchema = {
    type: 'object',
    label: trans.__('Hyperparameters'),
    open: true,
    properties: {
      n_epochs: named(trans.__('Epochs'), trans.__('How often the whole dataset is gone through.')),
      batch_size: named(trans.__('Batch size'), trans.__('Examples at once on each device.')),
      learning_rate: named(
        trans.__('Learning rate'),
        trans.__('As 2e-4; or leave it, and give a multiplier.')
      ),
      learning_rate_multiplier: named(
        trans.__('Learning rate multiplier'),
        trans.__('A factor of the usual learning rate, as 0.5 or 2.')
      )
    }
  };
  return { ...schema, properties: { ...schema.properties, hyperParameters } };
}
