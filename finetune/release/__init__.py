"""A trained model as a folder that engines load, proof that they agree, and its model card."""
