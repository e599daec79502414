"""The embedding from Earth Engine, quantized on its servers."""
