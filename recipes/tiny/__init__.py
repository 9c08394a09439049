"""A small checkpoint from nothing but the world of shapes. In the making: it does not caption well yet."""
