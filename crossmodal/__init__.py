"""What every model of this library shares.

Records and the tf.data pipeline, training under tf.distribute, the retrieval
evaluator, baselines and export. Nothing here knows of a particular model.
"""
