"""The Open Inference Protocol, version 2: its tensors as rows, and answers as its tensors."""
