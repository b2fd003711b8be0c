"""Export a trained model as a folder that engines load, prove that they agree, and write its model card."""
